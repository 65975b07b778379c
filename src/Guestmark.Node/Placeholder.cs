namespace Guestmark.Node;
