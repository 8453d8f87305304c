"""One tool each, idempotent, with plain arguments: usable in anyone's pyinfra playbook."""
