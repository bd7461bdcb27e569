from tests.service.engine.conftest import program, request_for, tiny

__all__ = ["program", "request_for", "tiny"]
