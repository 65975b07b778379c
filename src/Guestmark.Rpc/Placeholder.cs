namespace Guestmark.Rpc;
