"""The admin of this installation."""

from django.contrib.admin import AdminSite


class StanchionAdminSite(AdminSite):
    site_title = "Stanchion"
    site_header = "Stanchion"
    index_title = "Records"
    site_url = "/"
