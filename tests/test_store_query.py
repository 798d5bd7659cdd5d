from pathlib import Path

import duckdb
import pytest

from tests.store_records import make_run, make_trajectory
from workbench.errors import StoreError
from workbench.store.query import connect, disagreements, query
from workbench.store.schema import SCHEMA
from workbench.store.writer import RunWriter


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two runs, a foreign folder and a broken run, below a folder whose name needs quoting."""
    root = tmp_path / "my 'runs' [1]*"
    for preset, suggested in (("a", "south"), ("b", "north")):
        paths = make_run(root, preset)
        writer = RunWriter(paths)
        writer.trajectories([make_trajectory(1, suggested=suggested), make_trajectory(2, suggested=None)])
        writer.flush()
        writer.metrics("rl", 1, {"success/rate": 0.5, f"only/{preset}": 1.0, "nan/always": float("nan")})
        writer.event("stage", "on to full", to={"stage": "full"}, mixed=1 if preset == "a" else "one")
    (root / "notes").mkdir()
    make_run(root, "broken").meta.write_text("{")
    return root


def test_no_runs_gives_empty_tables_with_their_columns(tmp_path):
    assert list(query(tmp_path / "missing", "FROM turns")) == ["run", *SCHEMA.names]
    assert list(query(tmp_path, "FROM metrics")) == ["run", "phase", "update", "time"]
    assert query(tmp_path, "SELECT count(*) AS n FROM events")["n"][0] == 0
    assert len(disagreements(tmp_path)) == 0
    make_run(tmp_path)
    assert len(query(tmp_path, "FROM evaluations")) == 0


def test_all_runs_in_one_query(root):
    found = query(root, "SELECT run, count(*) AS n, avg(reward) AS reward FROM turns GROUP BY run ORDER BY run")
    assert [run[0] for run in found["run"]] == ["a", "b"] and list(found["n"]) == [6, 6]
    metrics = query(root, 'SELECT run, "success/rate", "only/a", "only/b" FROM metrics ORDER BY run')
    assert list(metrics["success/rate"]) == [0.5, 0.5] and metrics["only/a"].isna().tolist() == [False, True]
    assert query(root, "SELECT \"to\"->>'stage' AS stage FROM events")["stage"].tolist() == ["full", "full"]
    joined = query(root, "SELECT count(*) AS n FROM turns JOIN metrics USING (run)")
    assert joined["n"][0] == 12


def test_disagreements_over_all_runs(root):
    found = disagreements(root)
    assert len(found) == 3 and set(found["suggested_command"]) == {"north"} and set(found["command"]) == {"south"}
    assert found["run"].str.startswith("b-").all() and list(found["index"]) == [0, 1, 2]
    assert len(disagreements(root, limit=2)) == 2


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO '{root}/x.csv'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{root}/x.csv'",
        "SELECT 1; SELECT 2",
        "SET enable_external_access = true",
        "ATTACH '{root}/x.db'",
        "INSTALL httpfs",
        "CREATE TABLE x AS SELECT 1",
        "",
    ],
)
def test_a_query_only_reads(root, sql):
    with pytest.raises(StoreError, match="expected one statement that only reads"):
        query(root, sql.format(root=str(root).replace("'", "''")))
    assert not (root / "x.csv").exists()


@pytest.mark.parametrize("sql", ["SELECT * FROM read_text('/etc/hostname')", "SELECT * FROM '/etc/passwd'", "SELEKT 1", "FROM nothing"])
def test_a_query_stays_inside_the_root(root, sql):
    with pytest.raises(StoreError, match=r"^query: ") as caught:
        query(root, sql)
    assert "\n" not in str(caught.value)


def test_a_connection_cannot_be_unlocked(root):
    with connect(root) as connection:
        for statement in ("SET enable_external_access = true", "INSTALL httpfs", "SELECT * FROM read_csv('/etc/passwd')"):
            with pytest.raises(duckdb.Error):
                connection.execute(statement).fetchall()
        assert connection.execute("SELECT count(*) FROM turns").fetchone() == (12,)
