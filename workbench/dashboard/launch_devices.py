"""The devices of this machine, and the choice among them."""

import pandas as pd
import streamlit as st

from workbench.config import RunConfig
from workbench.dashboard.export import download_table
from workbench.jobs.devices import Device, find_devices

_KEPT_SECONDS = 5


@st.cache_data(ttl=_KEPT_SECONDS, show_spinner=False)
def devices() -> list[Device]:
    """The CPU and the GPUs, with what is free now."""
    return find_devices()


def choose(config: RunConfig | None) -> list[str]:
    """Draw the devices and give the names of the chosen ones; the form's own setting is the first choice."""
    st.subheader("Devices", anchor=False)
    found = devices()
    table = pd.DataFrame(
        [
            {
                "device": one.name,
                "what it is": one.title,
                "memory, GB": round(one.memory_bytes / 1e9, 1),
                "free, GB": round(one.free_bytes / 1e9, 1),
                "in use": one.load,
            }
            for one in found
        ]
    )
    st.dataframe(
        table,
        hide_index=True,
        key="devices",
        width="content",
        column_config={"in use": st.column_config.ProgressColumn("in use", min_value=0, max_value=1, format="percent")},
    )
    download_table(table, "devices", key="devices")
    names = [one.name for one in found]
    own = config.device.device if config else "auto"
    first = own if own in names else names[-1] if own.startswith("cuda") and len(names) > 1 else names[1] if len(names) > 1 else names[0]
    chosen = st.pills("Run on", names, selection_mode="multi", default=[first], key=f"launch_devices_{own}")
    number = config.device.num_processes if config else 1
    if number > 1:
        st.caption(
            f"{number} processes carry the run out together: on the CPU they share its cores, else each takes a GPU, from the first on."
        )
    elif len(chosen) > 1:
        st.caption("One run for each device, the seed one higher every time: a run trains on one device.")
    return [name for name in names if name in chosen]
