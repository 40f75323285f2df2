//! Block sources and sinks: raw and sparse files, block devices, qcow2.
