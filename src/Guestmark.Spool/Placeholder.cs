namespace Guestmark.Spool;
