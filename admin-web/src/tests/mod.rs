//! Templates rendered from sample data, handlers and API against a real store and a small world, and what must not happen.

mod api;
mod gallery;
mod handlers;
mod operators;
mod pages;
mod routes;
mod sample;
mod security;
mod ways;
mod world;
