"""REC.IO: twelve small services around one PostgreSQL database."""

from __future__ import annotations

VERSION = "1.0.0"

SERVICES = (
    "main_app",
    "trade_manager",
    "trade_executor",
    "active_trade_supervisor",
    "unified_production_coordinator",
    "kalshi_account_sync",
    "kalshi_api_watchdog",
    "cascading_failure_detector",
    "symbol_price_feed",
    "strike_table_generator",
    "trade_history_archiver",
    "live_data_writer",
)
