"""Credentials of users for other services, which are stored encrypted whatever else is (``WAYSTATION_SECRET_KEY``).

That is apart from encryption at rest (`waystation.encryption`): credentials are never stored in the clear, so that without a key
none are stored.
"""

from waystation.secrets.box import SecretBox

__all__ = ["SecretBox"]
