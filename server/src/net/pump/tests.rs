//! pump tests
