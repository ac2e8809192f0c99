"""Addresses of servers, and the cluster that an environment variable describes."""

import dataclasses
import ipaddress
import re

import msgspec

from bnn_keras.errors import UserError
from bnn_keras.settings.kinds import Text

CLUSTER = "TF_CONFIG"
EXAMPLE = '{"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", "index": 0}}'
ROLES = ("chief", "worker")  # that tf.distribute.MultiWorkerMirroredStrategy has
LARGEST_PORT = 65535
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")


@dataclasses.dataclass(frozen=True)
class Address(Text):
    """An address: HOST:PORT, or [HOST]:PORT for a host of IPv6."""

    valid: str = f"an address like HOST:5050, with a port from 1 to {LARGEST_PORT}"

    def convert(self, value: object) -> str:
        """The address; ValueError if it is none."""
        host, colon, port = super().convert(value).rpartition(":")
        # A superscript two is a digit, but not a number.
        is_port = port.isascii() and port.isdigit() and len(port) < 6 and 1 <= int(port) <= LARGEST_PORT
        if not (colon and is_port and _is_host(host)):
            raise ValueError
        return f"{host}:{int(port)}"


@dataclasses.dataclass(frozen=True)
class Host(Text):
    """The host of an address."""

    valid: str = "a name or an address of IPv4, or one of IPv6 in brackets"

    def convert(self, value: object) -> str:
        """The host; ValueError if it is none."""
        host = super().convert(value)
        if not _is_host(host):
            raise ValueError
        return host


def split_address(address: str) -> tuple[str, int]:
    """Host and port of an address that `Address` has checked."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _is_host(host: str) -> bool:
    if host.startswith("[") and host.endswith("]"):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            return False
        return True
    return len(host) < 254 and _NAME.fullmatch(host) is not None


@dataclasses.dataclass(frozen=True)
class Task:
    """Which process of the cluster this one is."""

    type: str
    index: int


@dataclasses.dataclass(frozen=True)
class Cluster:
    """All processes of a training, and which of them this one is.

    Args:
        cluster: addresses by role.
        task: this process.

    Raises:
        UserError: an address or a role that is not valid, one that stands twice, or a process that is not
            in the cluster.
    """

    cluster: dict[str, list[str]]
    task: Task

    def __post_init__(self) -> None:
        addresses = [address for role in self.cluster.values() for address in role]
        for address in addresses:
            try:
                Address().convert(address)
            except ValueError:
                raise UserError(f"{address!r} is not {Address().valid}") from None
        if len(set(addresses)) < len(addresses):
            raise UserError("an address stands there twice")
        for role in (*self.cluster, self.task.type):
            if role not in ROLES:
                raise UserError(f"the type {role!r} is not one of {', '.join(ROLES)}")
        if not 0 <= self.task.index < len(self.cluster.get(self.task.type, ())):
            raise UserError(f"the cluster has no {self.task.type} {self.task.index}")


def read_cluster(text: str | None) -> Cluster:
    """The cluster that the value of TF_CONFIG describes.

    Raises:
        UserError: the variable is not set, or describes no cluster that this process belongs to.
    """
    try:
        # Some launchers write the index as a text.
        return msgspec.convert(msgspec.json.decode(text or ""), Cluster, strict=False)
    except (msgspec.MsgspecError, UnicodeEncodeError) as error:
        reason = "it is not set" if text is None else str(error).rstrip(".")
        raise UserError(
            f"Several workers need {CLUSTER} in the environment, with the addresses of all of them and which "
            f"one this is, such as {EXAMPLE}; bnn launch sets it. Received: {text!r} ({reason})."
        ) from None
