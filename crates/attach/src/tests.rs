mod overlay;
mod sockets;
