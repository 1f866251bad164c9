from gst_listen_export.cli import main

if __name__ == "__main__":
    main()
