"""The client of a server: `Client` for asynchronous code, `SyncClient` for any other; what is said of runs."""

from dovetail.client.approvals import Approval
from dovetail.client.client import Client
from dovetail.client.connection import Connection
from dovetail.client.remote_run import RemoteRun
from dovetail.client.run_request import RunFields
from dovetail.client.sync import SyncClient, SyncRun

__all__ = ["Approval", "Client", "Connection", "RemoteRun", "RunFields", "SyncClient", "SyncRun"]
