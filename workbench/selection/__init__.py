"""Which prompts to have annotated: designs that choose in one step, before any label exists.

Label-efficient supervised fine-tuning (arXiv:2401.06692): a pool of prompts and a budget go in, the places to annotate come out.
Nothing here sees a response of the pool, and only ``workbench.selection.scores`` needs torch.
"""

from workbench.selection.baselines import k_means, learning_percentage, random_choice
from workbench.selection.coverage import facility_location, facility_location_of
from workbench.selection.farthest import k_center
from workbench.selection.inputs import Selection
from workbench.selection.per_task import even_per_task, inverse_confidence_per_task
from workbench.selection.top import top_k

__all__ = [
    "Selection",
    "even_per_task",
    "facility_location",
    "facility_location_of",
    "inverse_confidence_per_task",
    "k_center",
    "k_means",
    "learning_percentage",
    "random_choice",
    "top_k",
]
