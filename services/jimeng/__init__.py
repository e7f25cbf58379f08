"""Volcengine's visual API: the Jimeng models for pictures and videos."""

from services.jimeng.families import FAMILIES, Family
from services.jimeng.service import Jimeng, jimeng_http, jimeng_models
from services.jimeng.signing import Credentials, VolcengineAuth

__all__ = ["FAMILIES", "Credentials", "Family", "Jimeng", "VolcengineAuth", "jimeng_http", "jimeng_models"]
