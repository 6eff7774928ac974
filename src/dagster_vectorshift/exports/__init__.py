"""Exports of events: their options, their steps and their assets."""
