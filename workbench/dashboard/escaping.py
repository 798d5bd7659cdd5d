"""Text for Plotly figures. It stands apart from ``components`` so that drawing a figure needs no Streamlit."""

import html


def escaped(text: str) -> str:
    """Text for a Plotly figure, which would read tags in it."""
    return html.escape(text, quote=False)
