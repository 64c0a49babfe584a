"""A project's own HTTP application (``http.app``), served with the API as one (spec 20)."""

from waystation.custom_app.composition import Composition
from waystation.custom_app.loading import CustomApp, load_custom_app

__all__ = ["Composition", "CustomApp", "load_custom_app"]
