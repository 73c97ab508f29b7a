"""Tests of the runtime that every process shares."""
