"""Pages of this app for operators."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
