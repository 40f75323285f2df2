mod overlay;
mod served;
mod sockets;
