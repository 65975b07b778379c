namespace Guestmark.Central;
