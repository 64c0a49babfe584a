"""The models of agents: by provider and name, by the name of a configuration of the server, or the server's default."""

from waystation.deepagents.models.models import Models, ModelUnavailable, StandIns, chat_model

__all__ = ["ModelUnavailable", "Models", "StandIns", "chat_model"]
