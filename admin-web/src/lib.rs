//! admin-web
