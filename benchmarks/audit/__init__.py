"""`fastblur audit` and `fastblur correct`: what they find, and how long they take."""
