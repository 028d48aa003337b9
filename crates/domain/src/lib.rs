//! The rules of money and access: pure, no I/O, no clock, no luck.
