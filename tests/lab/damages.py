"""Ways to damage a deployed host, each with the acceptance tests that must name it."""

from __future__ import annotations

from dataclasses import dataclass

AS_POSTGRES = "cd / && runuser -u postgres -- psql -X -q -v ON_ERROR_STOP=1"
HBA = "$(cd / && runuser -u postgres -- psql -XAtc 'show hba_file')"
CONTROL = "supervisorctl -c /etc/rec_io/supervisord.conf"
# For a moment sshd starts itself again, and refuses logins.
RELOAD_SSH = "systemctl reload ssh && sleep 1"
# By whom a watched file was changed is told, whatever else is wrong with it.
CONFIG = ("test_configuration_is_as_accepted", "test_configuration_was_changed_by_runs_alone")
STOPPED, HUNG, CRASHED = "kalshi_account_sync", "trade_executor", "symbol_price_feed"


@dataclass(frozen=True)
class Damage:
    """
    One way to damage a host.

    + label: what it is
    + command: does it, as root
    + fails: the tests that must fail; those of a host or app without their parameters
    + repair: puts right what a deploy leaves alone because it is not its own, default nothing
    """

    label: str
    command: str
    fails: tuple[str, ...]
    repair: str = "true"


# Within a batch each damage has tests of its own, so that exactly the union of all fails.
BATCHES: dict[str, tuple[Damage, ...]] = {
    "machine": (
        Damage("swap is off", "swapoff /swapfile", ("test_swap_is_active_with_its_size",)),
        Damage(
            "a second line in fstab",
            "echo '/swapfile none swap sw 0 0' >> /etc/fstab",
            ("test_swap_is_in_fstab_once",),
        ),
        Damage("anybody reads the swap file", "chmod 0644 /swapfile", ("test_swap_file_is_private",)),
        Damage(
            "another swappiness after a boot",
            "echo 'vm.swappiness = 99' > /etc/sysctl.d/99-hostwright-swap.conf",
            ("test_swappiness_survives_a_boot",),
        ),
        Damage(
            "passwords are let in",
            f"echo 'PasswordAuthentication yes' > /etc/ssh/sshd_config.d/00-a.conf && {RELOAD_SSH}",
            ("test_ssh_configuration_takes_keys_only", "test_ssh_offers_keys_only"),
            repair=f"rm /etc/ssh/sshd_config.d/00-a.conf && {RELOAD_SSH}",
        ),
        Damage("a package is gone", "dpkg --remove nethogs", ("test_package_is_installed[nethogs]",)),
        Damage(
            "a rule that nobody declared", "ufw allow 9999/tcp", ("test_firewall_rules_are_the_declared",)
        ),
        Damage(
            "a stranger listens",
            "systemd-run --quiet --unit=stranger python3 -m http.server --directory /var/empty 9998",
            ("test_nothing_undeclared_listens",),
            repair="systemctl stop stranger",
        ),
        Damage(
            "a copy of a secret",
            "cp /etc/rec_io/secrets/db_password /var/tmp/copy",
            ("test_secrets_are_nowhere_else",),
            repair="rm /var/tmp/copy",
        ),
        Damage(
            "nothing rotates logs any more",
            "systemctl disable --now logrotate.timer",
            ("test_logrotate_runs_daily",),
            repair="systemctl enable --now logrotate.timer",
        ),
    ),
    "app": (
        Damage(
            "anybody reads the environment file",
            "chmod 0644 /etc/rec_io/env",
            ("test_env_file_is_root_only", *CONFIG),
        ),
        Damage(
            "another value in the environment file",
            "sed -i 's/^REC_ACCOUNT_MODE=.*/REC_ACCOUNT_MODE=prod/' /etc/rec_io/env",
            ("test_env_file_has_the_declared_variables", *CONFIG),
        ),
        Damage(
            "the service user owns code",
            "chown trader /opt/rec_io/current/backend/client.py",
            ("test_service_user_cannot_change_the_code",),
            repair="chown root /opt/rec_io/current/backend/client.py",
        ),
        Damage(
            "a variable that the example does not know",
            "sed -i 's/^REC_DATA_DIR=/REC_DATA_FOLDER=/' /opt/rec_io/current/.env.example",
            ("test_env_example_names_the_same",),
            repair="sed -i 's/^REC_DATA_FOLDER=/REC_DATA_DIR=/' /opt/rec_io/current/.env.example",
        ),
        Damage(
            "the role may create databases",
            f"{AS_POSTGRES} -c 'alter role rec_io_user createdb'",
            ("test_role_attributes",),
        ),
        Damage(
            "everybody may connect",
            f"{AS_POSTGRES} -c 'grant connect on database rec_io_db to public'",
            ("test_database_owner_and_privileges", "test_nobody_else_may_connect"),
        ),
        Damage(
            "the app may create tables",
            f"{AS_POSTGRES} -d rec_io_db -c 'grant create on schema public to rec_io_user'",
            ("test_app_makes_nothing",),
        ),
        Damage(
            "a table is the app's",
            f"{AS_POSTGRES} -d rec_io_db -c 'alter table archive_file owner to rec_io_user'",
            ("test_app_owns_nothing", "test_app_drops_and_empties_nothing"),
        ),
        Damage(
            "the app cannot delete",
            f"{AS_POSTGRES} -d rec_io_db -c 'revoke delete on live_data_file from rec_io_user'",
            ("test_app_reads_and_writes",),
        ),
        Damage(
            "the reader may write",
            f"{AS_POSTGRES} -d rec_io_db -c 'grant insert on trades to rec_io_db_reader'",
            ("test_reader_reads_and_writes_nothing",),
        ),
        Damage(
            "the owner is a member of something",
            f"{AS_POSTGRES} -c 'grant pg_monitor to rec_io_db_owner'",
            ("test_owner_and_reader_are_plain_roles",),
        ),
        Damage(
            "a process has the owner's password",
            "P=$(cat /etc/rec_io/secrets/db_owner_password) setsid sleep 3600 >/dev/null 2>&1 </dev/null &"
            " echo $! > /run/leaky",
            ("test_owner_password_is_in_no_process",),
            repair="kill $(cat /run/leaky) && rm /run/leaky",
        ),
        Damage(
            "half a restore",
            f"{AS_POSTGRES} -c 'create database rec_io_db_restore_20260101t000000z'",
            ("test_no_restore_was_left_unfinished",),
            repair=f"{AS_POSTGRES} -c 'drop database rec_io_db_restore_20260101t000000z'",
        ),
        Damage(
            "ALTER SYSTEM overrides a setting",
            f"{AS_POSTGRES} -c \"alter system set log_min_duration_statement = '9s'\""
            " -c 'select pg_reload_conf()'",
            ("test_postgresql_settings_have_their_values", "test_postgresql_settings_come_from_our_file"),
            repair=f"{AS_POSTGRES} -c 'alter system reset log_min_duration_statement'"
            " -c 'select pg_reload_conf()'",
        ),
        Damage(
            "an index is gone",
            f"{AS_POSTGRES} -d rec_io_db -c 'drop index trades_ticker_created_at_idx'",
            ("test_indexes_are_there",),
        ),
        Damage(
            "nothing counts statements",
            f"{AS_POSTGRES} -d rec_io_db -c 'drop extension pg_stat_statements'",
            ("test_statements_are_counted",),
        ),
        Damage(
            "the pool lets in fewer than declared",
            "sed -i 's/^max_client_conn = .*/max_client_conn = 50/' /etc/rec_io/pgbouncer.ini"
            " && systemctl reload pgbouncer-rec_io",
            ("test_pool_has_the_declared_limits", *CONFIG),
        ),
        Damage(
            "no password is asked for",
            f"sed -i '1i host all all all trust' {HBA} && {AS_POSTGRES} -c 'select pg_reload_conf()'",
            (
                "test_database_access_rules",
                "test_wrong_password_is_refused[rec_io]",
                "test_role_reaches_no_other_database[rec_io]",
            ),
        ),
        Damage(
            "no backup is made any more",
            "systemctl disable --now hostwright-backup-rec_io.timer",
            ("test_backups_are_scheduled",),
        ),
        Damage(
            "the newest backup is old",
            'sed -i \'s/"made": [0-9]*/"made": 1700000000/\' /var/backups/rec_io/2*/backup.json',
            ("test_newest_backup_is_young_and_whole",),
            repair="sleep 1; systemctl start hostwright-backup-rec_io.service",
        ),
        Damage(
            "half a backup",
            "truncate -s -9 /var/backups/rec_io/2*/dump/toc.dat; "
            "! systemctl start hostwright-prove-rec_io.service",
            ("test_backup_is_proven",),
            repair="sleep 1; systemctl start hostwright-backup-rec_io;"
            " systemctl start hostwright-prove-rec_io",
        ),
        Damage(
            "anybody reads the verifiers",
            "chmod 0644 /var/backups/rec_io/2*/globals.sql",
            ("test_backups_are_root_only",),
            repair="chmod 0600 /var/backups/rec_io/2*/globals.sql",
        ),
        Damage(
            "a service is stopped",
            f"{CONTROL} stop {STOPPED}",
            (
                "test_supervisorctl_says_running[rec_io]",
                "test_status_command_says_running[rec_io]",
                *(
                    f"{test}[rec_io-{STOPPED}]"
                    for test in (
                        "test_service_runs_the_current_release",
                        "test_service_has_the_declared_variables",
                        "test_service_is_running_and_stays",
                        "test_rotation_changes_no_process",
                        "test_rotation_loses_no_line",
                    )
                ),
            ),
        ),
        Damage(
            "a service hangs",
            f"kill -STOP $({CONTROL} pid {HUNG})",
            (f"test_health_answers[rec_io-{HUNG}]",),
            repair=f"kill -CONT $({CONTROL} pid {HUNG})",
        ),
        Damage(
            "the app's program runs as root",
            "systemd-run --quiet --unit=asroot /opt/rec_io/current/venv/bin/python -c"
            " 'import time; time.sleep(3600)'",
            ("test_nothing_of_the_app_runs_as_root",),
            repair="systemctl stop asroot",
        ),
        Damage(
            "nothing starts at boot",
            "systemctl --quiet disable rec_io.service",
            ("test_unit_is_active_and_starts_at_boot", *CONFIG),
        ),
        Damage(
            "the public port is closed",
            "ufw delete allow 3000/tcp",
            (
                "test_firewall_rules_are_the_declared",
                "test_public_port_answers[rec_io-main_app]",
                "test_health_answers_from_outside[rec_io-main_app]",
            ),
        ),
    ),
    "restarts": (
        Damage(
            "rotation restarts a service",
            f"sed -i '/systemctl kill/a {CONTROL} restart {CRASHED} >/dev/null' /etc/logrotate.d/rec_io",
            (
                f"test_rotation_changes_no_process[rec_io-{CRASHED}]",
                f"test_rotation_loses_no_line[rec_io-{CRASHED}]",
            ),
        ),
        Damage(
            "a start writes configuration",
            "mkdir /etc/systemd/system/rec_io.service.d && cd /etc/systemd/system/rec_io.service.d"
            " && printf '[Service]\\nExecStartPre=+/bin/sh -c \"%s\"\\n'"
            " 'echo >> /etc/rec_io/config.local.json' > a.conf && systemctl daemon-reload",
            (
                "test_restart_leaves_configuration_as_it_was",
                "test_restart_lets_nobody_write_configuration",
                *CONFIG,
            ),
            repair="rm -r /etc/systemd/system/rec_io.service.d && systemctl daemon-reload",
        ),
        Damage(
            "the firewall is off",
            "ufw disable",
            ("test_firewall_is_active_and_denies", "test_firewall_starts_at_boot"),
        ),
        Damage(
            "anybody writes data", "chmod 0777 /opt/rec_io/shared/backend/data", ("test_shared_directories",)
        ),
        Damage(
            "anybody reads a secret",
            "chmod 0644 /etc/rec_io/secrets/db_password",
            ("test_secrets_are_root_only", *CONFIG),
        ),
        Damage(
            "a line of error",
            'echo "$(date -u +%FT%TZ) ERROR main_app it broke" >> /opt/rec_io/shared/logs/main_app.log',
            ("test_log_has_no_errors[rec_io-main_app]",),
        ),
        Damage(
            "half a data file",
            "echo '{' > /opt/rec_io/shared/backend/data/live_data/half.json",
            ("test_data_files_are_being_produced",),
            repair="rm /opt/rec_io/shared/backend/data/live_data/half.json",
        ),
    ),
}
