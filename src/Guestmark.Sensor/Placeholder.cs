namespace Guestmark.Sensor;
