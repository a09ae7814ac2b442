# SPDX-License-Identifier: Apache-2.0
"""The server's settings: durable, quiet, private, and a few sizes that an operator may choose.

Quiet: an error's statement, parameters, DETAIL and even its message may hold what a client sent, so the log
keeps only LOG, FATAL and PANIC, tersely. Refuses every setting that is not a size.
"""

import re
from collections.abc import Mapping
from typing import Final

from strongroom.db.embedded.errors import SettingRefused

#: What was acknowledged survives a crash.
DURABLE: Final[Mapping[str, str]] = {
    "fsync": "on",
    "full_page_writes": "on",
    "ignore_checksum_failure": "off",
    "synchronous_commit": "on",
    "zero_damaged_pages": "off",
}

#: Nothing a client sent reaches the log (PCI DSS 3.5.1: unreadable wherever it is stored).
QUIET: Final[Mapping[str, str]] = {
    "debug_print_parse": "off",
    "debug_print_plan": "off",
    "debug_print_rewritten": "off",
    "log_autovacuum_min_duration": "-1",
    "log_checkpoints": "off",
    "log_connections": "off",
    "log_destination": "stderr",
    "log_disconnections": "off",
    "log_duration": "off",
    "log_error_verbosity": "terse",  # no DETAIL, HINT or CONTEXT, not even of a crashed process
    "log_hostname": "off",
    "log_line_prefix": "%m [%p] ",  # no user, database, host or application name
    "log_lock_waits": "off",
    "log_min_duration_sample": "-1",
    "log_min_duration_statement": "-1",
    "log_min_error_statement": "panic",
    "log_min_messages": "log",  # in the log's own order: LOG, FATAL, PANIC; no ERROR
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_recovery_conflict_waits": "off",
    "log_replication_commands": "off",
    "log_statement": "none",
    "log_temp_files": "-1",
    "log_transaction_sample_rate": "0",
    "logging_collector": "off",
    "session_preload_libraries": "",  # such as auto_explain, which logs statements
    "shared_preload_libraries": "",
    "track_activity_query_size": "256",
}

#: Reached through one socket, by one account, with SCRAM.
PRIVATE: Final[Mapping[str, str]] = {
    "cluster_name": "strongroom",
    "lc_messages": "C",
    "listen_addresses": "",
    "log_timezone": "UTC",
    "max_logical_replication_workers": "0",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "unix_socket_permissions": "0700",
}

#: What an operator may choose, and what it is when they do not. None: PostgreSQL's own default.
SIZES: Final[Mapping[str, str | None]] = {
    "autovacuum_max_workers": None,
    "autovacuum_naptime": None,
    "autovacuum_work_mem": None,
    "checkpoint_completion_target": None,
    "checkpoint_timeout": None,
    "effective_cache_size": None,
    "effective_io_concurrency": None,
    "huge_pages": None,
    "idle_in_transaction_session_timeout": "60s",
    "io_method": None,
    "io_workers": None,
    "jit": "off",
    "maintenance_work_mem": None,
    # A whole process opens up to 60, and another may run beside it while one is replaced.
    "max_connections": "200",
    "max_parallel_workers": None,
    "max_parallel_workers_per_gather": None,
    "max_wal_size": "1GB",
    "max_worker_processes": None,
    "min_wal_size": None,
    "random_page_cost": None,
    "shared_buffers": "128MB",
    "temp_buffers": None,
    "wal_buffers": None,
    # A new segment is not filled with zeros first: filling 16 MB stops every commit for tens of milliseconds.
    "wal_init_zero": "off",
    "wal_compression": None,  # the launcher asks the binary for lz4
    "work_mem": None,
}

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")


def server_settings(chosen: Mapping[str, str]) -> dict[str, str]:
    """Return every setting that the server is started with.

    Raises:
        SettingRefused: a chosen one is not a size, or its value is not one line of text.
    """
    for name, value in chosen.items():
        if name not in SIZES:
            shown = f"the setting {name}" if _NAME.fullmatch(name) else "that setting"
            raise SettingRefused(
                f"{shown} is not for the embedded server's users to choose; these are: {', '.join(SIZES)}"
            )
        if not value or not value.isprintable():
            raise SettingRefused(f"the setting {name} needs a value in one line")
    sizes = {name: value for name, value in {**SIZES, **chosen}.items() if value is not None}
    return {**sizes, **DURABLE, **QUIET, **PRIVATE}
