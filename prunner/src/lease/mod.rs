//! Workers that lease their tasks from a broker.
