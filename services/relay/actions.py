"""The vendor's Actions that the relay accepts, for the routes and their documentation."""

from services.vendors.jimeng.relays import QUERIES, QUERY_OF, VERSION

__all__ = ["QUERIES", "QUERY_OF", "VERSION"]
