//! The program on its own in front of a server: what streams, bodies and changes of either look like to clients.

mod bodies;
mod forms;
mod input;
mod memory;
mod output;
mod several;
mod sockets;
mod swaps;
