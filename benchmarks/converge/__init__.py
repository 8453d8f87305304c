"""A converged host converged again: hostwright beside Ansible and pyinfra's own connector, in one run."""
