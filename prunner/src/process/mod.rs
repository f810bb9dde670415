//! Workers that are processes of their own.
