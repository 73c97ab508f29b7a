"""The drills: every part is killed, frozen or cut off under load, and afterwards every notification is accounted for."""
