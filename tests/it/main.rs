//! The integration tests: a real server in memory or as a process, and clients that behave as the real editors do.

mod architecture;
mod buffer;
mod canary;
mod cancels;
mod client;
mod commands;
mod compaction;
mod corpus;
mod crash;
mod durable;
mod edits;
mod files;
mod kills;
mod lifecycle;
mod models;
mod personalities;
mod process;
mod progress;
mod recall;
mod review;
mod review_forks;
mod review_surface;
mod script;
mod sessions;
mod store;
mod typing;
