//! The planner: place, render, divide replicas, diff, summarize.
