//! Every template rendered from sample data; handlers against a real store are in `handlers`.

mod pages;
mod sample;
