//! A Kubernetes API in the process, with simulated workloads and faults.
