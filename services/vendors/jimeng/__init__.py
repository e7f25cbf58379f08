"""Volcengine's visual API: the Jimeng models for images and videos."""

from services.vendors.jimeng.families import FAMILIES, JimengFamily
from services.vendors.jimeng.service import Jimeng, jimeng_http, jimeng_models
from services.vendors.jimeng.signing import Credentials, VolcengineAuth

__all__ = ["FAMILIES", "Credentials", "Jimeng", "JimengFamily", "VolcengineAuth", "jimeng_http", "jimeng_models"]
