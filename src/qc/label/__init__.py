"""Who gets labelled and with what probability; the intake of labels; second looks; challenge parts."""
