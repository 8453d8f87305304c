"""How hosts are reached quickly: `connectors.ssh` has the connector, and the rules that it keeps."""

from connectors.ssh import FastSSHConnector, aside, expire, install

__all__ = ["FastSSHConnector", "aside", "expire", "install"]
