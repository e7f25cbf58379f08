"""
Client of the task API, for applications.

    from polyrelay.client import Client

    with Client("http://127.0.0.1:8080") as relay:
        task = relay.create("image", provider="volcengine", model="jimeng_t2i_v40", user_id="me", prompt="a red fox")
        done = relay.wait(task.task_id, timeout_s=120)
        relay.save(done, Path("results"))
"""

from polyrelay.client.asynchronous import AsyncClient
from polyrelay.client.errors import ApiError, ClientError, NotReached, WaitTimeout
from polyrelay.client.synchronous import Client
from polyrelay.client.views import (
    FailedPlugin,
    ModelView,
    ProviderList,
    ProviderView,
    ServedBy,
    TaskAttempt,
    TaskCancelled,
    TaskCreated,
    TaskError,
    TaskPage,
    TaskRemoved,
    TaskRetried,
    TaskView,
)

__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "ClientError",
    "FailedPlugin",
    "ModelView",
    "NotReached",
    "ProviderList",
    "ProviderView",
    "ServedBy",
    "TaskAttempt",
    "TaskCancelled",
    "TaskCreated",
    "TaskError",
    "TaskPage",
    "TaskRemoved",
    "TaskRetried",
    "TaskView",
    "WaitTimeout",
]
