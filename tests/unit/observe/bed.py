"""Reads the metrics of a daemon, over HTTP and as Prometheus would."""



