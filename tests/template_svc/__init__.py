"""Tests of template_svc."""
