"""For mkdocstrings: a docstring's ``Example:`` is a section of examples, so that its doctests are shown as code."""

from typing import Any

import griffe


class ExampleSections(griffe.Extension):
    """Reads ``Example:`` as ``Examples:``, the name that Griffe knows."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called with every module, class, function and attribute that was read."""
        if obj.docstring is not None:
            obj.docstring.value = obj.docstring.value.replace("\nExample:\n", "\nExamples:\n")
