//! Health checks on a schedule.
