"""Many requests to one endpoint at once, within its budget."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from workbench.errors import EndpointError
from workbench.models.endpoint import Cancelled, Completion, Endpoint, Message, Passing

POLL_SECONDS = 0.5


def ask_all(
    endpoint: Endpoint,
    requests: Sequence[Sequence[Message]],
    *,
    on_answer: Callable[[int, Completion], object],
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[int, str]:
    """Ask every request, at most ``concurrency`` at once, until all are answered or given up.

    Args:
        endpoint: Whom to ask.
        requests: Conversations.
        on_answer: Called with a request's number and its answer as soon as it is there, in the thread that asked: what must
            not be lost is written here.
        should_stop: Asked about twice a second; True sends nothing more and comes back when the requests under way have ended.

    Returns:
        Why requests were given up after their last try, by number.

    Raises:
        BudgetError: The next request could exceed the budget; all that were sent have been answered.
        EndpointError: The endpoint refuses, or no request at all gets through any more.
    """
    failures: dict[int, str] = {}
    under_way: dict[Future[None], int] = {}
    waiting = list(range(len(requests)))[::-1]
    spending, in_a_row = endpoint.spending, 0

    def ask(number: int) -> None:
        try:
            answer = endpoint.complete(requests[number])
        finally:
            spending.release(requests[number])
        on_answer(number, answer)

    with ThreadPoolExecutor(endpoint.config.concurrency, thread_name_prefix="endpoint") as threads:
        try:
            while waiting or under_way:
                stopping = should_stop()
                if stopping:
                    endpoint.close()  # nobody waits for another try
                    if not under_way:
                        break
                while waiting and not stopping and len(under_way) < endpoint.config.concurrency and spending.promise(requests[waiting[-1]]):
                    number = waiting.pop()
                    under_way[threads.submit(ask, number)] = number
                if not under_way:
                    raise spending.exhausted(left=len(waiting))
                for done in wait(under_way, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED).done:
                    number = under_way.pop(done)
                    problem = done.exception()
                    in_a_row = in_a_row + 1 if isinstance(problem, Passing) else 0
                    if isinstance(problem, Passing):
                        failures[number] = str(problem)
                    elif problem is not None and not (stopping and isinstance(problem, Cancelled)):
                        raise problem
                if in_a_row >= max(3, endpoint.config.concurrency):
                    raise EndpointError(
                        f"{endpoint.config.base_url} does not answer: {in_a_row} requests in a row failed "
                        f"{endpoint.config.max_retries + 1} times each, the last with: {failures[number]}; what was answered is kept"
                    )
        except BaseException:
            endpoint.close()
            raise
    return failures
